// Proves kernels on the processor that is to run them.
#pragma once

#include <string>

#include "kernels.h"

namespace efive {

/// Compares every kernel with its reference on random numbers, at sizes around every edge of tiles, blocks and texts
/// or, briefly, at some of them. Returns the first difference in words, or nothing.
std::string difference(const Kernels& kernels, Precision precision, bool briefly);

}  // namespace efive
