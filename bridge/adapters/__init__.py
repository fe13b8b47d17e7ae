"""What ports need on each runtime: `embedded`, and calls to functions over HTTP."""
