"""The live view: a page in the browser, served by visdom, that shows what a tracker does while it runs."""
