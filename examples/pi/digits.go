package main

import (
	"context"
	"math/big"
)

// guard is how many digits are computed beyond those asked for, so that the
// errors of the terms' divisions do not reach them.
const guard = 10

// pi returns the first n digits of π, "3.14…", the last one rounded, as Perl's
// bpi does. It uses Machin's formula: π = 16 arctan(1/5) − 4 arctan(1/239).
func pi(ctx context.Context, n int) (string, error) {
	one := pow10(n - 1 + guard) // 1 as a fixed-point number
	a, err := arctanInverse(ctx, 5, one)
	if err != nil {
		return "", err
	}
	b, err := arctanInverse(ctx, 239, one)
	if err != nil {
		return "", err
	}
	a.Mul(a, big.NewInt(16))
	b.Mul(b, big.NewInt(4))
	a.Sub(a, b)
	return format(round(a)), nil
}

// arctanInverse returns arctan(1/x), a fixed-point number like one, by its
// power series 1/x − 1/3x³ + 1/5x⁵ − …
func arctanInverse(ctx context.Context, x int64, one *big.Int) (*big.Int, error) {
	power := new(big.Int).Quo(one, big.NewInt(x))
	square := big.NewInt(x * x)
	sum, term := new(big.Int), new(big.Int)
	for k := int64(1); power.Sign() > 0; k += 2 {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		term.Quo(power, big.NewInt(k))
		if k%4 == 1 {
			sum.Add(sum, term)
		} else {
			sum.Sub(sum, term)
		}
		power.Quo(power, square)
	}
	return sum, nil
}

// round takes the guard digits away.
func round(x *big.Int) *big.Int {
	unit := pow10(guard)
	half := new(big.Int).Quo(unit, big.NewInt(2))
	return x.Quo(x.Add(x, half), unit)
}

// format sets the decimal point after the first digit.
func format(x *big.Int) string {
	digits := x.String()
	if len(digits) == 1 {
		return digits
	}
	return digits[:1] + "." + digits[1:]
}

func pow10(n int) *big.Int {
	return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil)
}
