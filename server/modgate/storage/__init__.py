"""Where state is kept, behind small interfaces."""
