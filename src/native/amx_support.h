// Whether this process may use AMX.
#pragma once

namespace efive {

/// The processor has it, the operating system saves tiles and lets this process use them. Asks for that permission.
bool amx_permitted();

}  // namespace efive
