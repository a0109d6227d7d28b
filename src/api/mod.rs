//! REST of TaskRouter, exactly as the contract has it; it must not change rows directly.
