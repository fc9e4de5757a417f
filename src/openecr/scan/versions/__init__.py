"""Order of versions, as each ecosystem has it. A new family is a file here and a line for
each ecosystem that it orders.
"""
