// A measurement as the result file that results/result.schema.json describes.
#pragma once

#include "loadgen/measurement.hpp"

#include <nlohmann/json_fwd.hpp>

#include <span>
#include <string>
#include <string_view>

namespace echobench {

nlohmann::json to_json(const measurement& measured, const options& asked, std::span<const std::string> argv);

// Throws std::system_error that names the file when it could not be written: before a run rather than after
// it.
void require_writable(const std::string& path);

// The file is there whole or not at all (temporary file, then rename). Throws std::system_error that names
// it.
void write_file(const std::string& path, std::string_view text);

}  // namespace echobench
