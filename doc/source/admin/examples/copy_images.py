"""Copy images to further stores, one after the other, and wait for each.

    OS_CLOUD=admin python copy_images.py IMAGE... --to fv1 --to fv2
    OS_CLOUD=admin python copy_images.py --from old --to fv1     # all raw images

It needs openstacksdk, and by Glance's default policy an administrator's cloud. It may
be interrupted and started again: images that are in the stores already are left out. It
ends with 1 if an image could not be copied.
"""

import argparse
import sys
import time

import openstack
from openstack import exceptions


def show(cloud, image_id):
    answer = cloud.image.get(f"/images/{image_id}")
    exceptions.raise_from_response(answer)
    return answer.json()


def stores_of(image, name="stores"):
    return {store for store in (image.get(name) or "").split(",") if store}


def copy(cloud, image_id, targets):
    """Copy one image; raise SDKException if it is not in all stores in the end."""
    image = show(cloud, image_id)
    missing = targets - stores_of(image)
    if not missing:
        return
    print(f"{image_id} {image['name']}: to {', '.join(sorted(missing))}", flush=True)
    body = {
        "method": {"name": "copy-image"},
        "stores": sorted(missing),
        "all_stores_must_succeed": False,
    }
    answer = cloud.image.post(f"/images/{image_id}/import", json=body)
    exceptions.raise_from_response(answer)
    while not targets <= stores_of(image := show(cloud, image_id)):
        if "os_glance_import_task" not in image:
            failed = ", ".join(sorted(targets - stores_of(image)))
            raise exceptions.SDKException(
                f"not copied to {failed}; the log of glance-api has the reason"
            )
        time.sleep(2)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="name or id")
    parser.add_argument("--from", dest="source", metavar="STORE")
    parser.add_argument("--to", action="append", required=True, metavar="STORE")
    options = parser.parse_args()
    cloud = openstack.connect()
    if options.source:
        raw = cloud.image.images(disk_format="raw", container_format="bare")
        images = [
            image.id
            for image in raw
            if image.status == "active"
            and options.source in stores_of(show(cloud, image.id))
        ]
    else:
        images = [cloud.image.find_image(name, False).id for name in options.images]
    failed = 0
    for image_id in images:
        try:
            copy(cloud, image_id, set(options.to))
        except exceptions.SDKException as error:
            failed += 1
            print(f"{image_id}: {error}", file=sys.stderr)
    copied = len(images) - failed
    print(f"{copied} of {len(images)} images are in {', '.join(options.to)}")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except exceptions.SDKException as error:
        sys.exit(f"copy_images: {error}")
