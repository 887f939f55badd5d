// Elementary functions on vectors.
#pragma once

namespace efive {

/// 2^x, relative error below 2e-7; what lies under 2^-126 becomes about that.
template <class I>
EFIVE_INLINE typename I::Floats exp2(typename I::Floats x) {
    x = I::max(I::set(-126.0f), x);  // in this order NaN stays NaN
    const auto whole = I::round(x);
    const auto part = I::sub(x, whole);
    // Minimax for the relative error on [-1/2, 1/2]: scripts/native_coefficients.py.
    auto y = I::set(1.327647198e-03f);
    y = I::fma(y, part, I::set(9.675541334e-03f));
    y = I::fma(y, part, I::set(5.550713274e-02f));
    y = I::fma(y, part, I::set(2.402211972e-01f));
    y = I::fma(y, part, I::set(6.931469671e-01f));
    y = I::fma(y, part, I::set(1.000000072e+00f));
    return I::scale(y, whole);
}

/// x Φ(x), the erf form of GELU, absolute error below 2e-7 |x| and about 1e-7 where it bends.
///
/// log2 Φ(-t) is smooth, so one polynomial and one exp2 do for both sides: x Φ(x) = max(x, 0) - |x| Φ(-|x|).
template <class I>
EFIVE_INLINE typename I::Floats gelu(typename I::Floats x) {
    const auto size = I::abs(x);
    const auto t = I::min(I::set(6.0f), size);  // beyond, Φ(-t) < 1e-9
    // Minimax for the absolute error of the whole function: scripts/native_coefficients.py.
    auto q = I::set(3.159052473e-06f);
    q = I::fma(q, t, I::set(2.105458559e-07f));
    q = I::fma(q, t, I::set(-6.355414242e-04f));
    q = I::fma(q, t, I::set(7.809785525e-03f));
    q = I::fma(q, t, I::set(-5.312262063e-02f));
    q = I::fma(q, t, I::set(-4.589291627e-01f));
    q = I::fma(q, t, I::set(-1.151162648e+00f));
    q = I::fma(q, t, I::set(-9.999961571e-01f));
    return I::sub(I::max(I::set(0.0f), x), I::mul(size, exp2<I>(q)));
}

}  // namespace efive
