"""Which samples of an entity are unusual, how unusual, and which signals say so: forecast first, then detect.

The engine and `aegis detect` call it with a `Frame` per entity (`detector.fit`, `detector.score`, `detector.Monitor`).
It never reads a clock, a file or a network (except `store`, which is handed a folder), and looks only at the past.
"""
