// The variants. Each is defined in the last lines of its file, which models/CMakeLists.txt names.
#pragma once

#include "servers/variant.hpp"

#include <span>

namespace echobench::variants {

#define MODEL(model) extern const variant model;
#define NOT_BUILT(model, ...) MODEL(model)
#include "models.inc"
#undef MODEL
#undef NOT_BUILT

// Those of this program, in the order in which --list shows them.
extern const std::span<const variant* const> all;

}  // namespace echobench::variants
