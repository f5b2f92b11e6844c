"""An evaluation as a page: charts, tables, hand histories."""
