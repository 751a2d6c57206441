-- Money is counted in cents: 0.1 + 0.2 must be 0.3.
ALTER TABLE orders ADD COLUMN cents INTEGER NOT NULL DEFAULT 0;

UPDATE orders SET cents = CAST(round(amount * 100) AS INTEGER);

ALTER TABLE orders DROP COLUMN amount;
