package main

import (
	"context"
	"math/big"
)

// guard is how many digits are computed beyond those asked for: the divisions of
// the series are not exact.
const guard = 10

// pi returns the first n digits of π: "3.14…". It uses Machin's formula,
// π = 16 arctan(1/5) − 4 arctan(1/239).
func pi(ctx context.Context, n int) (string, error) {
	one := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n+guard)), nil)
	sum := new(big.Int)
	for _, part := range []struct{ factor, x int64 }{{16, 5}, {-4, 239}} {
		arctan, err := arctanInverse(ctx, part.x, one)
		if err != nil {
			return "", err
		}
		sum.Add(sum, arctan.Mul(arctan, big.NewInt(part.factor)))
	}
	text := sum.String()
	return (text[:1] + "." + text[1:])[:n+1], nil
}

// arctanInverse returns arctan(1/x), where one stands for 1, by its power series
// 1/x − 1/3x³ + 1/5x⁵ − …
func arctanInverse(ctx context.Context, x int64, one *big.Int) (*big.Int, error) {
	sum, term := new(big.Int), new(big.Int)
	power, square := new(big.Int).Quo(one, big.NewInt(x)), big.NewInt(-x*x)
	for k := int64(1); power.Sign() != 0; k += 2 {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		sum.Add(sum, term.Quo(power, big.NewInt(k)))
		power.Quo(power, square)
	}
	return sum, nil
}
