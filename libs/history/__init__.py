"""History: what markets and topics said, as Parquet days; `layout` says what stands where."""
