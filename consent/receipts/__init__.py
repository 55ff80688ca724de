"""Receipts: ISO/IEC TS 27560 records, the formats they are given in, and the keys that sign them."""
