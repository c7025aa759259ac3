"""Is this like the normal images a detector has seen, and where is it not?"""
