"""`python -m huelapse`."""

from huelapse.cli import main

if __name__ == "__main__":
    main()
