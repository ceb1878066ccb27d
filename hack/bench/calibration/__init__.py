"""The simulator beside a real engine: `make bench-calibration`."""
