"""`huelapse view`: a page on loopback. Serves arrays the page reads; see docs/wire.md."""
