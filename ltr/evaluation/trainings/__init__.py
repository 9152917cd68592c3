"""The trainings of a table: which they are, and doing them one after the other or several at once."""
