"""llama.cpp with our flags, past and through the gateway, on models of true size: `make bench-engine`."""
