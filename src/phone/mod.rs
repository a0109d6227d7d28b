//! Client of the phone system's REST; it must not read or change routing state.
