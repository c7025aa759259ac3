"""The papers' questions as runnable experiments: each ends in an answer, a table and a figure."""
