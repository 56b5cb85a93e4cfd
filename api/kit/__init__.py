"""What every slice of the API uses and what knows no business word: clock, columns, commands, ids, paging, schema base."""
