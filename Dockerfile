# One image for worker, beat and Flower; the command decides what a container is (see compose.yaml).

FROM python:3.13-slim AS build
RUN python -m venv --without-pip /opt/moie
WORKDIR /src
COPY requirements/run.txt requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/moie/bin/python install --disable-pip-version-check --require-hashes -r requirements/run.txt
COPY pyproject.toml README.md LICENSE beat_schedule.py ./
COPY moie_worker moie_worker
RUN pip --python /opt/moie/bin/python install --disable-pip-version-check --no-deps --no-build-isolation .

FROM python:3.13-slim
# A fixed id, so that the owner of a volume is the same on every machine. Another user, as OpenShift gives one, has the
# group 0, and the home by that.
RUN groupadd --gid 10001 moie \
 && useradd --uid 10001 --gid moie --no-create-home --home-dir /var/lib/moie --shell /usr/sbin/nologin moie \
 && install -d -o moie -g moie -m 0755 /app \
 && install -d -o moie -g root -m 0770 /var/lib/moie
COPY --from=build /opt/moie /opt/moie
COPY examples /app/examples
ENV PATH=/opt/moie/bin:$PATH \
    MOIE_HOME=/var/lib/moie \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER moie
WORKDIR /app
VOLUME /var/lib/moie
CMD ["celery", "-A", "moie_worker", "worker", "-Q", "default,scan", "--loglevel", "INFO"]
