// The table of kernels of an instruction set with tiles: I its vectors, F the format of linear layers, A of attention.
#pragma once

#include "amx_attention.h"
#include "amx_linear.h"
#include "table.h"

namespace efive {

/// More tokens at a time than without tiles: these are so fast that each weight that is read must meet many.
inline constexpr int kTileChunk = 256;

template <class I, class F, class A>
inline constexpr Kernels kTileTable{
    kTileSide,
    kTileChunk,
    true,
    sizeof(typename F::Value),
    sizeof(typename A::Value),
    pack_tiles<I, F>,
    norm<I, F>,
    convert<I, F>,
    project<I, F, A>,
    expand<I, F>,
    add_tiles<I, F>,
    attend_tiles<I, A>,
};

}  // namespace efive
