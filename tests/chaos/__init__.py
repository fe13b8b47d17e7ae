"""Load on a real bridge that is killed again and again, and the account of it afterwards: `python -m tests.chaos`."""
