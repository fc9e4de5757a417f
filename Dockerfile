# openecr in a container. The base image is yours to choose; it needs Python 3.11 or newer with pip.
#
#   docker build -t openecr .
#   docker run -p 127.0.0.1:5050:5050 -v openecr:/data openecr
ARG BASE_IMAGE=python:3.12-slim
FROM ${BASE_IMAGE}

WORKDIR /opt/openecr
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY src src
RUN PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore python3 -m pip install --no-cache-dir \
      --disable-pip-version-check -c requirements.lock . \
 && useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin openecr \
 && install -d -o openecr -g openecr -m 0700 /data

# For `docker exec`: the other commands find the data directory too.
ENV OPENECR_DATA_DIR=/data PYTHONUNBUFFERED=1
USER openecr
WORKDIR /data
VOLUME /data
EXPOSE 5050
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=3s --timeout=5s --start-period=60s \
  CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:5050/readyz', timeout=4)"]
CMD ["openecr", "serve", "--host", "0.0.0.0", "--data-dir", "/data"]
