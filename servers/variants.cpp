// The list of a program's variants, and those that could not be built into it. Besides what includes Asio,
// this is the one file that differs between the programs.
#include "servers/variants.hpp"

namespace echobench::variants {

// They stay in the list, with the reason.
#define MODEL(model)
#define NOT_BUILT(model, listed, library)                                                                  \
  const variant model{.about = {.name = listed, .summary = "a model on a library that was missing"},       \
                      .holds = clients::any,                                                               \
                      .stops = stop_on_signal::by::thread,                                                 \
                      .unavailable_reason = []() -> std::string_view { return "built without " library; }, \
                      .make = nullptr};
#include "models.inc"
#undef MODEL
#undef NOT_BUILT

namespace {

constexpr const variant* listed[] = {
#define MODEL(model) &model,
#define NOT_BUILT(model, ...) &model,
#include "models.inc"
};

}  // namespace

constinit const std::span<const variant* const> all = listed;

}  // namespace echobench::variants
