"""How several calls run side by side, and how a program is told to end, in each colour."""
