"""The deployment file: ``gunicorn -c conf/gunicorn.conf.py``.

Doors, addresses and the number of workers are read from the application's conf: ``GREENIMI_CONF``, or ``conf/app.toml``.  Any Gunicorn
setting may be added below; the same names win over what conf says.
"""

from greenimi import green

green.patch()  # before anything else is imported

from greenimi.deploy import deployment  # noqa: E402

globals().update(deployment())
