"""A run in the forms other programs read: xarray, pandas, Parquet, CSV, netCDF.

One file per form, its library imported there alone. `rows` says what stands in a table, and reads a
run a part at a time; `writing` picks the form by a file's suffix and puts the file in place.
"""
