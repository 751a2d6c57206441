CREATE TABLE orders (
    id          INTEGER PRIMARY KEY,
    customer_id INTEGER NOT NULL REFERENCES customers (id),
    amount      REAL NOT NULL,
    placed_on   TEXT NOT NULL
);

INSERT INTO orders (customer_id, amount, placed_on) VALUES
    (1,  19.99, '2026-01-04'),
    (1, 250.00, '2026-01-17'),
    (2,   4.35, '2026-01-18'),
    (3,  75.10, '2026-02-02'),
    (3,   0.70, '2026-02-02'),
    (5, 120.05, '2026-02-11');
