"""Files that hold whole networks: TorchScript, programs of torch.export, ONNX.

A program is code. What each kind can do when it is loaded stands in SECURITY.md.
"""
