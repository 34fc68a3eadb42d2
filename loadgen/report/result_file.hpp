// Where results are written to.
#pragma once

#include <string>
#include <string_view>

namespace echobench {

// Throws std::system_error that names the file when it could not be written: before a run rather than after
// it.
void require_writable(const std::string& path);

// A file is there whole or not at all (temporary file beside it, then rename); a symbolic link to it stays
// one. A pipe or a device is written to as it is, and so is a descriptor by its name (/dev/stdout). Throws
// std::system_error that names it.
void write_file(const std::string& path, std::string_view text);

}  // namespace echobench
