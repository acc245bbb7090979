#pragma once

// Before a loop: no iteration reads what another one writes (arrays are the same or do not overlap).
#if defined(__clang__)
#define CDIPIPE_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define CDIPIPE_INDEPENDENT _Pragma("GCC ivdep")
#else
#define CDIPIPE_INDEPENDENT
#endif
