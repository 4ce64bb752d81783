-- The certificate by which a node asked for its last one, which may never have reached it.
ALTER TABLE nodes ADD COLUMN serial_before TEXT;
