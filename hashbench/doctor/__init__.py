"""What `hashbench doctor` looks at: packages, plugins, devices, folders, and the shipped model.

No module here imports torch, or what needs it, before a probe has found that it can be imported.
"""
