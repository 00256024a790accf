#!/usr/bin/env python3
"""Writes tests/unit/special_golden.h: values of special functions as SciPy gives them.

Run it with Debian 12's own interpreter (python3-scipy 1.10.1):
    /usr/bin/python3 tests/golden/analysis/special.py > tests/unit/special_golden.h
"""
import numpy as np
from scipy import integrate, special, stats

def row(*v):
    return "    {" + ", ".join("%.17g" % x for x in v) + "},"

def table(name, rows):
    print("\nstatic const double %s[][%d] = {" % (name, len(rows[0])))
    for r in rows:
        print(row(*r))
    print("};")

print("/*")
print(" * special_golden.h - made by tests/golden/analysis/special.py; do not edit.")
print(" *")
print(" * SPDX-License-Identifier: Apache-2.0")
print(" */")
print("/* clang-format off */")

table("golden_normal", [(p, special.ndtri(p)) for p in
      (1e-300, 1e-20, 1e-9, 1e-4, 0.001, 0.025, 0.05, 0.2, 0.2499, 0.2501, 0.4, 0.49,
       0.499999, 0.5, 0.6, 0.75, 0.8, 0.95, 0.975, 0.999, 0.9999999)])

table("golden_beta", [(x, a, b, special.betainc(a, b, x))
      for a in (0.5, 1, 2.5, 7, 40, 500) for b in (0.5, 3, 20, 300)
      for x in (1e-6, 0.01, 0.2, 0.5, 0.8, 0.99)
      if special.betainc(a, b, x) > 1e-290])

table("golden_t_upper", [(t, df, stats.t.sf(t, df))
      for df in (1, 2, 3, 5, 9, 13, 29, 100, 1000, 10000)
      for t in (-30, -3, -0.5, 0, 0.1, 1, 2.5, 6, 40)])

def t_isf(p, df):  # SciPy's own is good to 3e-10 only at df = 2; its tail is better: polish
    t = stats.t.isf(p, df)
    for _ in range(3):
        t += (stats.t.sf(t, df) - p) / stats.t.pdf(t, df)
    return t

table("golden_t_quantile", [(p, df, t_isf(p, df))
      for df in (1, 2, 3, 4, 5, 7, 9, 13, 29, 100, 1000)
      for p in (1e-12, 1e-6, 0.001, 0.025, 0.05, 0.1, 0.3, 0.4, 0.7, 0.95, 0.999)])

table("golden_half_binomial", [(k, n, stats.binom.cdf(k, n, 0.5))
      for n in (1, 6, 10, 40, 300, 512) for k in (0, 1, n // 4, n // 2, n - 1) if k < n])

# Noncentral t for the plain test; with a floor, the integral that special.h describes.
def power(n, mean, sd, crit, floor):
    df, root = n - 1, np.sqrt(n)
    f = lambda s: stats.chi.pdf(s * np.sqrt(df) / sd, df) * np.sqrt(df) / sd * \
        stats.norm.cdf((mean - max(crit * s / root, floor)) * root / sd)
    knee = floor * root / crit
    parts = sorted({0.0, knee, sd, 3 * sd, 12 * sd})
    return sum(integrate.quad(f, a, b, epsabs=1e-13, epsrel=1e-12, limit=400)[0]
               for a, b in zip(parts, parts[1:]))

rows = []
for n in (2, 3, 5, 6, 10, 20, 60):
    crit = stats.t.isf(0.05, n - 1)
    for mean in (0, 0.01, 0.03, 0.05):
        plain = stats.nct.sf(crit, n - 1, mean * np.sqrt(n) / 0.03) if mean else 0.05
        rows.append((n, mean, 0.03, crit, -1e9, plain))
        rows.append((n, mean, 0.03, crit, 0.03, power(n, mean, 0.03, crit, 0.03)))
table("golden_power", rows)
