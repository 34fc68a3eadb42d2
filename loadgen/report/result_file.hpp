// Where results are written to.
#pragma once

#include "common/socket.hpp"

#include <string>
#include <string_view>

namespace echobench {

// Throws std::system_error that names the file when it could not be written: before a run rather than after
// it.
void require_writable(const std::string& path);

// Whether both names lead to one file, so that writing to one would replace what was written to the other, or
// be mixed with it. A device, as a terminal is, may be written to under several names.
bool is_same_file(const std::string& one, const std::string& other);

// Whether the path names an open descriptor of this process: /dev/stdout, /dev/fd/3.
bool is_descriptor(const std::string& path);

// Opens a file to be written bit by bit; an open descriptor goes on where it is. Throws std::system_error
// that names it.
unique_fd open_file(const std::string& path);

// A file is there whole or not at all (temporary file next to it, then rename); a symbolic link to it stays
// one. What cannot be replaced is written in place: a pipe, a device, a descriptor by its name (/dev/stdout),
// a file that is mounted alone, or whose folder takes no other. Throws std::system_error that names it.
void write_file(const std::string& path, std::string_view text);

}  // namespace echobench
