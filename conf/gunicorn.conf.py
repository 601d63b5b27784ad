"""The deployment file: ``gunicorn -c conf/gunicorn.conf.py``, from any folder.

Doors, addresses and the number of workers are read from the application's conf: ``GREENIMI_CONF``, or ``app.toml`` beside this file.  Any
Gunicorn setting may be added below; what stands there wins over what conf says.
"""

from greenimi import green

green.patch()  # before anything else is imported

from pathlib import Path  # noqa: E402

from greenimi.deploy import deployment  # noqa: E402

globals().update(deployment(Path(__file__).with_name("app.toml")))
