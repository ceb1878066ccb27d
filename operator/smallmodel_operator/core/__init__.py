"""The vocabulary the concern packages share: values only, no I/O, no clock."""
