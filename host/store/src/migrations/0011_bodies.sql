-- A request's body stands in its row, the last of its columns: three usual requests fill a page.

-- NULL when it was erased.
ALTER TABLE request ADD COLUMN body BLOB;
UPDATE request SET body = (SELECT bytes FROM body WHERE body.seq = request.seq);
DROP TABLE body;
