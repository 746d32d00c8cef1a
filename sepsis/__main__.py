"""`python -m sepsis`."""

from sepsis.cli import main

if __name__ == "__main__":
    main()
