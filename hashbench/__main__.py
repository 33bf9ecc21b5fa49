"""`python -m hashbench` is the `hashbench` command."""

from hashbench.cli.app import main

if __name__ == "__main__":
    main()
