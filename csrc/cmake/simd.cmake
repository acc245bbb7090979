# Function multiversioning: a file of inner loops is compiled once per instruction set, and common/simd.cpp picks one
# set when the module is loaded. No -ffast-math: at link time it would switch the whole process to flush-to-zero.
include(CheckCXXCompilerFlag)

set(CDIPIPE_MATH_FLAGS -O3 -fno-math-errno -fno-trapping-math -fno-signed-zeros -fassociative-math -freciprocal-math)
set(CDIPIPE_AVX2_FLAGS -mavx2 -mfma)
set(CDIPIPE_AVX512_FLAGS ${CDIPIPE_AVX2_FLAGS} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512)

set(CDIPIPE_SIMD_LEVELS baseline)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
  check_cxx_compiler_flag("-mavx512f -mavx512bw -mprefer-vector-width=512" CDIPIPE_COMPILER_HAS_AVX512)
  if(CDIPIPE_COMPILER_HAS_AVX512)
    list(APPEND CDIPIPE_SIMD_LEVELS avx2 avx512)
  endif()
endif()

# cdipipe_add_blocks(TARGET FILE): FILE defines everything inside namespace CDIPIPE_SIMD_NAMESPACE.
function(cdipipe_add_blocks target file)
  get_filename_component(name ${file} NAME_WE)
  foreach(level IN LISTS CDIPIPE_SIMD_LEVELS)
    string(TOUPPER ${level} upper)
    add_library(${name}_${level} OBJECT ${file})
    target_include_directories(${name}_${level} PRIVATE .)
    target_compile_options(${name}_${level} PRIVATE ${CDIPIPE_MATH_FLAGS} ${CDIPIPE_${upper}_FLAGS})
    target_compile_definitions(${name}_${level} PRIVATE CDIPIPE_SIMD_NAMESPACE=${level})
    target_link_libraries(${target} PRIVATE ${name}_${level})
  endforeach()
  if("avx512" IN_LIST CDIPIPE_SIMD_LEVELS)
    target_compile_definitions(${target} PRIVATE CDIPIPE_X86_LEVELS)
  endif()
endfunction()
