//! In place of the unwinder: PID 1 is built so that a panic ends it (`panic = "abort"`), and its panic hook prints no
//! backtrace, but the standard library names these functions all the same. With them come the reader of debugging
//! information and what unpacks it: 300 kB, more than a quarter of PID 1
//! (LLVM's libunwind; the names are those of the Itanium C++ ABI, "Exception Handling", level I).

/// What [`_Unwind_Backtrace`] answers at the end of the stack (`_URC_END_OF_STACK`); all others are not called then.
const END_OF_STACK: usize = 5;

macro_rules! absent {
    ($($name:ident)*) => {
        $(
            // SAFETY: it is the only function of this name, because the linker takes those of libunwind only where one is
            // missing. It looks at no argument, and whoever gets its answer has no stack left to look at.
            #[allow(non_snake_case, reason = "the names are given")]
            #[unsafe(no_mangle)]
            extern "C" fn $name() -> usize {
                END_OF_STACK
            }
        )*
    };
}

absent! {
    _Unwind_Backtrace
    _Unwind_DeleteException
    _Unwind_FindEnclosingFunction
    _Unwind_GetCFA
    _Unwind_GetDataRelBase
    _Unwind_GetIP
    _Unwind_GetIPInfo
    _Unwind_GetLanguageSpecificData
    _Unwind_GetRegionStart
    _Unwind_GetTextRelBase
    _Unwind_RaiseException
    _Unwind_Resume
    _Unwind_SetGR
    _Unwind_SetIP
}
