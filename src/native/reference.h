// What the kernels compute, in plain loops and double precision, without a thought for speed: the meaning of kernels.h.
#pragma once

#include <vector>

#include "kernels.h"

namespace efive::reference {

using Floats = std::vector<float>;
using Values = std::vector<double>;

/// The bits of a bf16, rounded to nearest, ties to even.
std::uint16_t bf16(float x);
float from_bf16(std::uint16_t bits);

/// Rows of `width` activations as the products of `precision` see them.
Values activations(const Floats& x, int width, Precision precision);

/// The same of a matrix (outputs x inputs).
Values weights(const Floats& matrix, int inputs, Precision precision);

/// x (rows x inputs) times the transposed matrix (outputs x inputs), plus bias.
Values linear(const Values& x, const Values& matrix, const Floats& bias, int inputs);

Values norm(const Floats& x, const Floats& gain, const Floats& bias, double epsilon);

/// The erf form.
double gelu(double x);

/// qkv (tokens x 3 hidden) to context (tokens x hidden); the softmax is in powers of two.
Values attend(const Floats& qkv, int tokens, int heads, int head_size);

}  // namespace efive::reference
