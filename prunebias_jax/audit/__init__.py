"""The audit: a page on which people judge what compression changes."""
