"""What tests of several rooms share; on pytest's `pythonpath`."""
