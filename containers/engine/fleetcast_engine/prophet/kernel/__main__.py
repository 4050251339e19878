"""Compile the solver ahead of the first fit: `python -m fleetcast_engine.prophet.kernel`. Images do it when built."""

import sys

from fleetcast_engine.prophet.kernel.compiled import folder, maximum

kept_in = folder()
if kept_in is None:
    sys.exit(
        "The solver's machine code cannot be kept: neither the sources' folder nor the home can be written."
    )
maximum()
print(f"The solver is compiled; its machine code lies in {kept_in}.")
